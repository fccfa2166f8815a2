"""Names by which a face stack is asked for."""

from typing import Literal

FaceStackName = Literal["model", "antelopev2", "dlib", "drawn"]
"""`model`: whatever the folder holds; `dlib`: the same, but dlib finds the faces of the photos."""
