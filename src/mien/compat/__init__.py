"""Mien in the shapes of deepface and fer, for code that was written for them: change the import, keep the rest.

    from mien.compat import DeepFace    # was: from deepface import DeepFace
    from mien.compat import FER         # was: from fer.fer import FER

docs/switching.md sets the three side by side, and says what is not offered.
"""

from mien.compat.common import FaceNotDetectedError, InvalidImageError, InvalidOptionError
from mien.compat.deepface import DeepFace
from mien.compat.fer import FER

__all__ = ["FER", "DeepFace", "FaceNotDetectedError", "InvalidImageError", "InvalidOptionError"]
