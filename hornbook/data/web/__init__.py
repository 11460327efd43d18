"""Web archives and web pages: records, HTTP, and the main text of HTML."""
