"""INSERT, DELETE, UPDATE and transactions: from a statement to what is published."""
