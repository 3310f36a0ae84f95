"""
Embeddings with sparse gradients
================================

A table of embeddings has a row for each word or user, and a batch touches few of them.
``Adam(sparse_update="deferred")`` makes the very steps of Adam, in which every row moves, at the cost of
the touched rows alone. Here words learn who their neighbours are (skip-gram with negative samples, Mikolov
et al., 2013), from the 100,000 words of the reference that Python's own ``help`` shows.
"""

import re
from collections import Counter
from pydoc_data.topics import topics

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit

import nbadam

words = re.findall(r"[a-z_]{2,}", " ".join(topics.values()).lower())
counts = Counter(words)
vocabulary = [word for word, count in counts.most_common() if count >= 10]
number = {word: i for i, word in enumerate(vocabulary)}
rng = np.random.default_rng(0)
text = np.array([number[word] for word in words if word in number])
share = np.array([counts[word] for word in vocabulary]) / len(words)
kept = rng.random(text.size) < np.sqrt(1e-3 / share[text])  # frequent words tell little
text = text[kept]
print(f"{len(vocabulary):,} words, {text.size:,} places")

# %%
# Each pair of neighbours is told from five pairs with words drawn at random.

SIZE, BATCH, NEGATIVES = 24, 1000, 5
inner = 0.1 * rng.standard_normal((len(vocabulary), SIZE))
outer = np.zeros((len(vocabulary), SIZE))
chance = np.cumsum(share**0.75) / np.sum(share**0.75)
target = np.r_[1.0, np.zeros(NEGATIVES)]
optimizer = nbadam.Adam(nbadam.schedules.CosineDecay(0.02, 1500), sparse_update="deferred")
losses = []
for _ in range(1500):
    place = rng.integers(4, text.size - 4, BATCH)
    centre = text[place]
    near = text[place + rng.choice([-4, -3, -2, -1, 1, 2, 3, 4], BATCH)]
    others = np.column_stack([near, np.searchsorted(chance, rng.random((BATCH, NEGATIVES)))])
    u = optimizer.gather(inner, centre)
    v = optimizer.gather(outer, others.ravel()).reshape(BATCH, -1, SIZE)
    score = np.einsum("bd,bkd->bk", u, v)
    error = (expit(score) - target) / BATCH
    gradients = [
        (nbadam.IndexedSlices(np.einsum("bk,bkd->bd", error, v), centre, inner.shape), inner),
        (
            nbadam.IndexedSlices(
                (error[..., None] * u[:, None]).reshape(-1, SIZE), others.ravel(), outer.shape
            ),
            outer,
        ),
    ]
    optimizer.apply_gradients(gradients)
    losses.append(np.mean(np.logaddexp(0, np.where(target, -score, score)).sum(axis=1)))
optimizer.sync()

# %%
# Words of a kind come to lie together: the nearest ones by angle.

unit = inner / np.linalg.norm(inner, axis=1, keepdims=True)
for word in ("integer", "except", "list", "import", "__init__"):
    nearest = np.argsort(-unit @ unit[number[word]])[1:6]
    print(f"{word}: {', '.join(vocabulary[i] for i in nearest)}")

groups = {
    "numbers": ["integer", "float", "complex", "decimal"],
    "exceptions": ["except", "finally", "raise", "exception"],
    "modules": ["import", "module", "package", "loader"],
}
shown = unit[[number[word] for group in groups.values() for word in group if word in number]]
plane = np.linalg.svd(shown - shown.mean(axis=0), full_matrices=False)[2][:2].T
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
axes[0].plot(np.convolve(losses, np.full(50, 0.02), mode="valid"))
axes[0].set(xlabel="step", ylabel="loss")
for k, (name, group) in enumerate(groups.items()):
    known = [word for word in group if word in number]
    points = unit[[number[word] for word in known]] @ plane
    axes[1].plot(*points.T, "o", color=f"C{k}", ms=4, label=name)
    for word, point in zip(known, points, strict=True):
        axes[1].annotate(word, point, fontsize=7, xytext=(3, 2), textcoords="offset points")
axes[1].set(xticks=[], yticks=[])
axes[1].margins(0.2)
axes[1].legend(frameon=False, fontsize=7)
