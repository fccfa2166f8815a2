"""What drawn people do, where and in which light, seen by the judges that ship."""

import numpy as np

from ingredients.curation.acting import look_around, open_watching, watch_person
from ingredients.world import EACH_OWN, render_scene, sample_scene

FPS, NUM_FRAMES = 12.0, 30


def test_people_are_watched_and_the_setting_is_told() -> None:
    watching = open_watching()
    right = {"action": 0, "place": 0}
    people = 0
    for seed in (3, 4, 5, 8):
        spec = sample_scene(seed, split="eval", style=EACH_OWN)
        scene = render_scene(spec, height=96, width=144, num_frames=NUM_FRAMES, fps=FPS)
        setting = look_around(scene.frames, watching.encoder)
        assert np.isclose(sum(setting["place"].values()), 1, atol=0.01)
        assert np.isclose(sum(setting["light"].values()), 1, atol=0.01)
        right["place"] += max(setting["place"], key=lambda name: setting["place"][name]) == spec.attributes.place
        for index, role in enumerate(spec.roles):
            boxes = scene.boxes[:, index].copy()
            boxes[::7] = np.nan
            if not np.isfinite(boxes).any():
                continue
            found = watch_person(scene.frames, boxes, watching.acting, fps=FPS)["actions"]
            right["action"] += max(found, key=lambda name: found[name]) == role.action
            people += 1
    assert right["place"] == 4
    assert right["action"] >= 0.75 * people > 3


def test_who_is_never_seen_does_nothing() -> None:
    frames = np.zeros((9, 48, 80, 3), np.uint8)
    boxes = np.full((9, 4), np.nan, np.float32)
    assert watch_person(frames, boxes, open_watching().acting, fps=FPS) == {"actions": {}, "expressions": {}}
