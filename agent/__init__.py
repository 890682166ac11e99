"""The application: command line, configuration, Celery, imaging, readers, and the work of one study.

May import `reports` and `dicom_node`. torch, transformers and bitsandbytes load only in `agent.readers`.
"""

__version__ = "0.1.0"
