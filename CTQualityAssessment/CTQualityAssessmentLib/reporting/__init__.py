"""What leaves as files: JSON, CSV, a page of figures and the web page around it, all drawn from a VolumeAssessment."""
