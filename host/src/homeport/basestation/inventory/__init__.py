"""What the basestation keeps in SQL: devices with sealed secrets, and attachments for a restart."""
