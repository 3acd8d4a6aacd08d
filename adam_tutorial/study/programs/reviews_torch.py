"""Read film reviews with PyTorch and Adam."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import Adam
from torch.utils.data import DataLoader, TensorDataset

from adam_tutorial.study.arrays import WORDS, reviews

DROPOUT = 0.5


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 64)
        self.convolution = nn.Conv1d(64, 64, 3)
        self.dropout = nn.Dropout(DROPOUT)
        self.dense = nn.Linear(64, 2)
        vectors = self.embedding.weight  # as in Keras
        nn.init.uniform_(vectors, -0.05, 0.05)
        for layer in self.convolution, self.dense:
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, x):
        x = self.embedding(x).transpose(1, 2)
        x = F.relu(self.convolution(x))
        x = x.amax(dim=2)
        return self.dense(self.dropout(x))


def train(model, x, y, epochs=3, shuffle=True):
    data = TensorDataset(
        torch.tensor(x), torch.tensor(y)
    )
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
    return model(torch.tensor(x)).argmax(1).numpy()


def main(seed=0):
    torch.manual_seed(seed)
    (x_train, y_train), (x_test, y_test) = reviews()
    model = Network()
    losses = train(model, x_train, y_train)
    found = answers(model, x_test)
    right = (found == y_test).mean()
    print(f"loss {losses[-1]:.3f}, {right:.1%} right")
    return losses, found


if __name__ == "__main__":
    main()
