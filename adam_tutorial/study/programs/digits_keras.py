"""Read handwritten digits with Keras and Adam."""

import keras
from keras import layers, ops

from adam_tutorial.study.arrays import digits

AMOUNT = 0.2  # of shear and zoom


class ShearAndZoom(layers.Layer):  # in training only
    def __init__(self):
        super().__init__()
        self.seed = keras.random.SeedGenerator()

    def call(self, x, training=False):
        if not training:
            return x
        count = ops.shape(x)[0]
        drawn = keras.random.uniform(
            (3, count), -1, 1, seed=self.seed
        )
        wide, tall, slope = AMOUNT * drawn
        a, b = 1 / (1 + wide), 1 / (1 + tall)
        dx = 13.5 * (1 - a - slope)
        dy = 13.5 * (1 - b)
        none = ops.zeros_like(a)
        maps = a, slope, dx, none, b, dy, none, none
        return ops.image.affine_transform(
            x, ops.stack(maps, axis=1)
        )


def network():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            ShearAndZoom(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )


def train(model, x, y, epochs=10, shuffle=True):
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True
    )
    adam = keras.optimizers.Adam(learning_rate=0.001)
    model.compile(adam, loss)
    return model.fit(
        x,
        y,
        batch_size=50,
        epochs=epochs,
        shuffle=shuffle,
        verbose=0,
    ).history["loss"]


def answers(model, x):
    return model.predict(x, verbose=0).argmax(1)


def main(seed=0):
    keras.utils.set_random_seed(seed)
    (x_train, y_train), (x_test, y_test) = digits()
    model = network()
    losses = train(model, x_train, y_train)
    found = answers(model, x_test)
    right = (found == y_test).mean()
    print(f"loss {losses[-1]:.3f}, {right:.1%} right")
    return losses, found


if __name__ == "__main__":
    main()
