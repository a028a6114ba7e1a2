"""What the page's process knows in numbers: requests, waiting, speech made, errors. The supervisor tells the rest."""
