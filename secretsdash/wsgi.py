"""What the application server loads: `secretsdash.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "secretsdash.settings")

application = get_wsgi_application()
