"""What examples need to speak to parts on a bus. None of these is an application."""
