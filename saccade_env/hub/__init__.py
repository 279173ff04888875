"""Agents, records and reports on the Hugging Face Hub, or a server that speaks as it does."""
