"""Click, and the animal is outlined: a network that corrects a mask where somebody clicks."""

WEIGHTS, ONNX = "refiner.safetensors", "refiner.onnx"  # a refiner's files
