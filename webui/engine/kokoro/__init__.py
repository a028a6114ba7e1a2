"""The embedded neural voice: Kokoro-82M (int8) on the CPU, from packages that pip installs.

Invariants: no network, ever; the packages' own code is never run, only their data is read; the model and the style
packs are Apache-2.0 (hexgrad), the ONNX export is MIT (thewh1teagle).
"""
