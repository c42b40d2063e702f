"""Where objects go: a folder, Azure Blob Storage, or S3. All of them create when absent, and never overwrite."""
