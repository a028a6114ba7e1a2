"""IndexTTS-2 and 2.5 behind the engine protocol, over the packages' own classes."""
