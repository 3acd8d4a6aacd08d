"""Whole small programs, to copy and to run.

Each trains a network with Adam, once in PyTorch and
once in Keras:

- ``digits_torch`` and ``digits_keras``: handwritten
  digits, rescaled, sheared and zoomed, are read by a
  dense network;
- ``reviews_torch`` and ``reviews_keras``: sentences
  of film reviews, padded to one length, are read by a
  convolutional network.

Run one as ``python digits_torch.py``, or by the name
of its module. Those of Keras use the backend that
``KERAS_BACKEND`` names. ``main(seed)`` trains from a
seed, prints loss and accuracy, and returns the mean
loss of each epoch and the answers to the test
examples.
"""

__all__: list[str] = []
