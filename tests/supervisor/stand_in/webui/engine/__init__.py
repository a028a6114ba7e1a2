"""Stand-ins for the page and the engine: real processes that keep the contract and need the standard library only."""
