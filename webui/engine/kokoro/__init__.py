"""The embedded neural voice: Kokoro-82M (int8) on the CPU, from packages that pip installs.

Invariants: no network, ever; of the model's packages only data is read (and, for Japanese, their
text-to-symbols code is run, which reads nothing from outside); the model and the style
packs are Apache-2.0 (hexgrad), the ONNX export is MIT (thewh1teagle).
"""
