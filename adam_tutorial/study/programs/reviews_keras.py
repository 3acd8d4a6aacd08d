"""Read film reviews with Keras and Adam."""

import keras
from keras import layers

from adam_tutorial.study.arrays import WORDS, reviews

DROPOUT = 0.5


def network():
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(WORDS, 64),
            layers.Conv1D(64, 3, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dropout(DROPOUT),
            layers.Dense(2),
        ]
    )


def train(model, x, y, epochs=3, shuffle=True):
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
    (x_train, y_train), (x_test, y_test) = reviews()
    model = network()
    losses = train(model, x_train, y_train)
    found = answers(model, x_test)
    right = (found == y_test).mean()
    print(f"loss {losses[-1]:.3f}, {right:.1%} right")
    return losses, found


if __name__ == "__main__":
    main()
