"""V_p, V_g and TP of each pair of sample and foreground channel, and the sum of a voxel term: once for all terms.

The plain formula is, for logits x, reference y in {0, 1} and a function f of a voxel's cross-entropy,

    p = sigmoid(x)                  (or softmax(x, 1)[:, 1:])
    V_p, V_g, TP = sum(p), sum(y), sum(p y)
    e = -log(p of the true class),  the sum of f(e)

and PyTorch would differentiate it. It would keep a tensor of the logits' size for each step, in float32, and go through
each of them again. `sigmoid` and `softmax` state the gradient in closed form: one such tensor is kept and turned into
the gradient in place, and both stay exact where p is next to 0 or 1. `rows` says where even less has to be computed,
`volumes` is what the losses ask.
"""
