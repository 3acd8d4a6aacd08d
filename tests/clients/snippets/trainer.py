from transformers import Trainer, TrainingArguments

from adam_tutorial.optim import AdamW


def train(model, data, folder):
    arguments = TrainingArguments(
        output_dir=folder,
        num_train_epochs=5,
        lr_scheduler_type="cosine",
        warmup_steps=0.1,  # a share of the run
        weight_decay=0.1,  # not for biases and normalisations
        max_grad_norm=1.0,
    )
    adamw = (AdamW, {"lr": 1e-3, "betas": (0.9, 0.999)})
    trainer = Trainer(
        model, arguments, train_dataset=data, optimizer_cls_and_kwargs=adamw
    )
    trainer.train()
    return trainer
