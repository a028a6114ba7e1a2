"""What an instance costs and does, in numbers: for Prometheus, for node_exporter's textfile, and for the page."""
