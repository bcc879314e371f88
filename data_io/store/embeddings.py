"""What images look like, as small vectors, and the clusters they are in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from data_io.errors import DataError
from data_io.store import schema
from data_io.store.database import Database
from data_io.store.images import require_image
from data_io.store.records import EmbeddingTable

Floats = NDArray[np.float32]
_embeddings, _clusters, _images = schema.embeddings, schema.clusters, schema.images
_STORED = np.dtype("<f2")


class Embeddings(Database):
    """One embedding an image at most; all of one length and from one source."""

    def put_embedding(
        self,
        image: str,
        vector: NDArray[np.floating],
        foreground: float | None = None,
        *,
        cluster: int | None = None,
        source: str = "",
    ) -> None:
        """Store or replace an image's embedding.

        Args:
            image: id.
            vector: (d,) finite, kept as float16; d as in those that are there.
            foreground: chance in [0, 1] that animals are visible, None = unknown.
            cluster: number of the cluster it is in, None = none yet.
            source: name of what made it; `forget_embeddings` before another one's come.

        Raises:
            DataError: an unknown image, or values that do not fit.
        """
        what = f"image {image}"
        blob = _blob(vector, what)
        if foreground is not None and not 0 <= foreground <= 1:
            why = f"the chance of visible animals is {foreground}"
            raise DataError(what, why, "give a number from 0 to 1", field="foreground")
        row = {"cluster": cluster, "foreground": foreground, "source": source, "vector": blob}
        with self._write() as connection:
            require_image(connection, self.project, image)
            _refuse_foreign(connection, what, source, len(blob))
            connection.execute(delete(_embeddings).where(_embeddings.c.image == image))
            connection.execute(insert(_embeddings).values(image=image, **row))

    def embeddings(self) -> EmbeddingTable:
        """All embeddings, in the order their images were added."""
        query = select(_embeddings).join(_images, _images.c.id == _embeddings.c.image)
        with self._read() as connection:
            rows = connection.execute(query.order_by(_images.c.coco_id)).all()
        return EmbeddingTable(
            tuple(row.image for row in rows),
            _vectors([row.vector for row in rows]),
            tuple(row.cluster for row in rows),
            rows[0].source if rows else "",
        )

    def forget_embeddings(self) -> None:
        """Delete all embeddings and clusters, for instance since another backbone is in use."""
        with self._write() as connection:
            connection.execute(delete(_embeddings))
            connection.execute(delete(_clusters))

    def clusters(self) -> Floats:
        """(k, d) float32 centers; the row is the cluster's number. (0, 0) for none."""
        with self._read() as connection:
            query = select(_clusters.c.center).order_by(_clusters.c.number)
            return _vectors(list(connection.execute(query).scalars()))

    def put_clusters(self, centers: Floats, assigned: Mapping[str, int]) -> None:
        """Replace the centers, and the numbers of some images (by id), in one transaction.

        Args:
            centers: (k, d) finite, kept as float16.
            assigned: image id -> row of `centers`; images without an embedding are left out.

        Raises:
            DataError: values that cannot be stored.
        """
        rows = [
            {"number": number, "center": _blob(center, f"cluster {number}")}
            for number, center in enumerate(centers)
        ]
        moved = [{"of": image, "to": number} for image, number in assigned.items()]
        query = update(_embeddings).where(_embeddings.c.image == bindparam("of"))
        with self._write() as connection:
            connection.execute(delete(_clusters))
            if rows:
                connection.execute(insert(_clusters), rows)
            if moved:
                connection.execute(query.values(cluster=bindparam("to")), moved)


def _blob(vector: NDArray[np.floating], what: str) -> bytes:
    limit = float(np.finfo(_STORED).max)
    flat = np.asarray(vector, np.float64).ravel()
    if not flat.size or not np.isfinite(flat).all():
        why = "the embedding is empty or holds a value that is no number"
        raise DataError(what, why, "compute it again from the image", field="embedding")
    return np.clip(flat, -limit, limit).astype(_STORED).tobytes()


def _vectors(blobs: list[bytes]) -> Floats:
    if not blobs:
        return np.zeros((0, 0), np.float32)
    flat = np.frombuffer(b"".join(blobs), _STORED).astype(np.float32)
    return flat.reshape(len(blobs), -1)


def _refuse_foreign(connection: Connection, what: str, source: str, size: int) -> None:
    """Vectors of two origins cannot be compared."""
    query = select(_embeddings.c.source, _embeddings.c.vector).limit(1)
    row = connection.execute(query).one_or_none()
    if row is not None and (row.source != source or len(row.vector) != size):
        why = f"the embedding comes from {source or 'another source'!r} and the others do not"
        raise DataError(what, why, "forget the others first", field="embedding")
