"""How a group of parameters is stepped: one module for each way.

A backend has one function, ``step(optimizer, parameters, settings)``. It is handed
parameters that are :class:`~adam_tutorial.optim.backends.prepared.Prepared`, one after
another, and moves each by the optimizer's rule. All backends compute the same.

``plain`` takes one tensor at a time: the one to read. ``foreach`` runs the same rule on
lists of tensors.
"""
