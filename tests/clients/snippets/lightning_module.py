import lightning
import torch

from adam_tutorial.optim import AdamW


class Classifier(lightning.LightningModule):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def training_step(self, batch, _):
        inputs, labels = batch
        return torch.nn.functional.cross_entropy(self.model(inputs), labels)

    def configure_optimizers(self):
        optimizer = AdamW(self.parameters(), lr=1e-3, weight_decay=0.1)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=1e-3,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=0.1,  # the warm-up's share
            cycle_momentum=False,
        )
        each_step = {"scheduler": schedule, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": each_step}


def train(model, loader):
    trainer = lightning.Trainer(max_epochs=5, gradient_clip_val=1.0)
    trainer.fit(Classifier(model), loader)
    return trainer
