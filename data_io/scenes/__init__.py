"""Procedural herds with exact instance masks: synthetic images for the demo and the tests."""

from data_io.scenes.camera import CAMERAS, Camera
from data_io.scenes.scene import NamedScene, Scene, demo_scenes, scene, write_demo

__all__ = ["CAMERAS", "Camera", "NamedScene", "Scene", "demo_scenes", "scene", "write_demo"]
