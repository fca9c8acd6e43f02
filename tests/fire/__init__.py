"""The store and its cache while requests and answers break in every way."""
