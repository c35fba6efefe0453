"""API Gateway: definitions, stages and the integrations behind them."""
