"""AgentIdP from outside: every row of its contract, the SDK's client, and the OAuth 2.0 libraries that people use."""
