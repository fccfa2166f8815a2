"""Photos, pictures and videos in and out; RGB uint8 (F, H, W, 3) everywhere."""
