"""
Embeddings with sparse gradients
================================

A table of embeddings has a row for each word or user, and a batch touches few of them.
``Adam(sparse_update="deferred")`` makes the very steps of Adam, in which every row moves, at the cost of
the touched rows alone. Here 20,000 users and 500 films are placed in a plane by simulated ratings.
"""

import matplotlib.pyplot as plt
import numpy as np

import nbadam

rng = np.random.default_rng(0)
USERS, FILMS, FACTORS = 20_000, 500, 2
kind = rng.integers(3, size=FILMS)  # three kinds of films
taste = rng.standard_normal((USERS, FACTORS))
angles = 2 * np.pi * kind / 3
quality = np.column_stack([np.cos(angles), np.sin(angles)]) + 0.2 * rng.standard_normal((FILMS, FACTORS))

users = 0.1 * rng.standard_normal((USERS, FACTORS))
films = 0.1 * rng.standard_normal((FILMS, FACTORS))
optimizer = nbadam.Adam(0.02, sparse_update="deferred")
losses = []
for _ in range(3000):
    u, f = rng.integers(USERS, size=500), rng.integers(FILMS, size=500)
    rating = np.sum(taste[u] * quality[f], axis=1) + 0.1 * rng.standard_normal(500)
    user, film = optimizer.gather(users, u), optimizer.gather(films, f)
    error = np.sum(user * film, axis=1) - rating
    gradients = [
        (nbadam.IndexedSlices(error[:, None] * film, u, users.shape), users),
        (nbadam.IndexedSlices(error[:, None] * user, f, films.shape), films),
    ]
    optimizer.apply_gradients(gradients)
    losses.append(np.mean(error**2))
optimizer.sync()

# %%
# The loss falls towards the noise of the ratings, 0.01, and the films of a kind come to lie together.

print(f"mean squared error of the last 100 batches: {np.mean(losses[-100:]):.3f}")
figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.4), layout="constrained")
axes[0].semilogy(np.convolve(losses, np.full(50, 0.02), mode="valid"))
axes[0].set(xlabel="step", ylabel="mean squared error")
axes[1].scatter(*films.T, c=kind, cmap="viridis", s=8)
axes[1].set(title="films", aspect="equal", xticks=[], yticks=[])
