"""IAM's roles and policies, and the broker's access rules made from them."""
