"""Other people's apps under this roof: what a profile says, where it is found, and the app's models and interpreter."""
