"""What the project's images look like: embeddings as they come, and the clusters they join."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_io.store import Store
from model.clusters import kmeans, nearest, wanted


class Looks:
    """Embeddings of one project; a process that makes many keeps one of these."""

    def __init__(self, store: Store, source: str) -> None:
        """Go on with what the project has.

        Args:
            store: the project.
            source: name of what makes the vectors; those of another source are forgotten, since
                they cannot be compared.
        """
        self._store, self._source = store, source
        table = store.embeddings()
        if table.images and table.source != source:
            store.forget_embeddings()
            table = store.embeddings()
        self._images = set(table.images)
        self._centers = store.clusters()
        self._made_for = len(self._images) if len(self._centers) else 0

    def add(
        self, image: str, vector: NDArray[np.floating], foreground: float | None = None
    ) -> None:
        """Store an image's embedding, in the cluster it is nearest to.

        Args:
            image: id.
            vector: (d,) from `model.embedding`.
            foreground: chance in [0, 1] that animals are visible.

        Raises:
            DataError: see `Store.put_embedding`.
        """
        cluster = None
        if len(self._centers):
            row = np.asarray(vector, np.float32).reshape(1, -1)
            cluster = int(nearest(row, self._centers)[0])
        self._store.put_embedding(image, vector, foreground, cluster=cluster, source=self._source)
        self._images.add(image)
        if wanted(len(self._images)) > wanted(self._made_for):
            self._cluster_anew()

    def _cluster_anew(self) -> None:
        table = self._store.embeddings()
        self._made_for = len(table.images)
        self._store.put_clusters(kmeans(table.vectors, wanted(self._made_for), self._centers), {})
        self._centers = self._store.clusters()  # as they are stored, for every process the same
        own = nearest(table.vectors, self._centers).tolist()
        rows = zip(table.images, table.clusters, own, strict=True)
        moved = {image: cluster for image, before, cluster in rows if cluster != before}
        self._store.put_clusters(self._centers, moved)
