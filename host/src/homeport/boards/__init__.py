"""Images for boards, and how they get there: what `homeport flash` and `make firmware` are made of."""
