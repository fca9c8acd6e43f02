"""Classes of scripts in results: found again by the process that reads them."""
