"""Click, and the animal is outlined: a network that corrects a mask where somebody clicks."""
