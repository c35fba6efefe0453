"""Confluent's REST proxy, version 2 of its API."""
