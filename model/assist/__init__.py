"""Click, and the animal is outlined: a network that corrects a mask where somebody clicks."""

# A refiner's files; the number tells them from those of an earlier network.
WEIGHTS, ONNX = "refiner-2.safetensors", "refiner-2.onnx"
