"""What people write on packs, sites and contracts: notes, attachments, tags, custom fields."""
