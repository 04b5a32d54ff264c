"""Results as DICOM objects that an archive can file beside the images: a structured report and parametric maps.

The only files of this package that name the patient. They are written only where they were asked for.
"""
