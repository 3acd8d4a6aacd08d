"""Read handwritten digits with PyTorch and Adam."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import Adam
from torch.utils.data import DataLoader, TensorDataset

from adam_tutorial.study.arrays import digits

AMOUNT = 0.2  # of shear and zoom


class ShearAndZoom(nn.Module):  # in training only
    def forward(self, x):
        if not self.training:
            return x
        drawn = 2 * torch.rand(3, len(x)) - 1
        wide, tall, slope = AMOUNT * drawn
        maps = torch.zeros(len(x), 2, 3)
        maps[:, 0, 0] = 1 / (1 + wide)
        maps[:, 0, 1] = slope
        maps[:, 1, 1] = 1 / (1 + tall)
        grid = F.affine_grid(maps, x.shape, False)
        return F.grid_sample(
            x, grid, align_corners=False
        )


def network():
    model = nn.Sequential(
        ShearAndZoom(),
        nn.Flatten(),
        nn.Linear(28 * 28, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    for weight in model.parameters():
        if weight.ndim == 2:  # as in Keras
            nn.init.xavier_uniform_(weight)
    return model


def inputs(x):  # rescaled, with the channel in front
    return torch.tensor(x).movedim(3, 1) / 255


def train(model, x, y, epochs=10, shuffle=True):
    data = TensorDataset(inputs(x), torch.tensor(y))
    batches = DataLoader(data, 50, shuffle=shuffle)
    adam = Adam(model.parameters(), lr=0.001)
    history = []
    model.train()
    for _ in range(epochs):
        total = 0.0
        for x, y in batches:
            loss = F.cross_entropy(model(x), y)
            adam.zero_grad()
            loss.backward()
            adam.step()
            total += loss.item()
        history.append(total / len(batches))
    return history


def answers(model, x):
    model.eval()
    return model(inputs(x)).argmax(1).numpy()


def main(seed=0):
    torch.manual_seed(seed)
    (x_train, y_train), (x_test, y_test) = digits()
    model = network()
    losses = train(model, x_train, y_train)
    found = answers(model, x_test)
    right = (found == y_test).mean()
    print(f"loss {losses[-1]:.3f}, {right:.1%} right")
    return losses, found


if __name__ == "__main__":
    main()
