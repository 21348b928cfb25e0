"""What people read: charts and reports of videos. matplotlib and pyarrow are imported where something needs them."""
