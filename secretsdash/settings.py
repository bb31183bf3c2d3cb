"""The one settings file. Every environment variable read here is described in docs/configuration.md (a test compares).

A bad value raises `ImproperlyConfigured` with the name of the variable; combinations that cannot work are Django
system checks in `secretsdash.checks`.
"""

from datetime import timedelta
from pathlib import Path

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from clusters import dial
from secretsdash import __version__, environment, logs

BASE_DIR = Path(__file__).resolve().parent.parent

# --- How this process is reached ---
SECRET_KEY = environment.secret("SECRET_KEY")
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is not set. Give it 50 random characters, the same in every process.")
DEBUG = environment.flag("DEBUG", default=False)
ALLOWED_HOSTS = environment.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = environment.words("CSRF_TRUSTED_ORIGINS")
BEHIND_TLS_PROXY = environment.flag("BEHIND_TLS_PROXY", default=False)

# --- Postgres, and Redis or Valkey ---
DATABASES = {
    "default": {
        **environment.database(
            environment.secret("DATABASE_URL", "postgres://secretsdash@localhost/secretsdash"),
            environment.secret("DATABASE_PASSWORD"),
        ),
        # A connection per thread, kept: opening one costs more than most of our queries.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CELERY_BROKER_URL, REDIS_URL = environment.broker(environment.secret("REDIS_URL", "redis://localhost:6379/0"))
# Beat touches this file at every tick, for a health check; empty is off.
BEAT_HEARTBEAT_PATH = environment.text("BEAT_HEARTBEAT_PATH")

# --- Reading clusters ---
# Seconds between two collections of a cluster that names no interval of its own.
POLL_INTERVAL = environment.number("POLL_INTERVAL", 60, minimum=5, maximum=3600)
# Seconds that one cluster may take to be read; below the time limits of the task in secretsdash.celery.
COLLECTION_DEADLINE = environment.number("COLLECTION_DEADLINE", 20, minimum=1, maximum=60)
COLLECTION_RETENTION_DAYS = environment.number("COLLECTION_RETENTION_DAYS", 14, minimum=1, maximum=3650)
EVENT_RETENTION_DAYS = environment.number("EVENT_RETENTION_DAYS", 30, minimum=1, maximum=3650)
TRANSITION_RETENTION_DAYS = environment.number("TRANSITION_RETENTION_DAYS", 400, minimum=1, maximum=3650)
ROTATION_RETENTION_DAYS = environment.number("ROTATION_RETENTION_DAYS", 1100, minimum=1, maximum=3650)
REVISION_RETENTION_DAYS = environment.number("REVISION_RETENTION_DAYS", 400, minimum=1, maximum=3650)
RECOVERY_RETENTION_DAYS = environment.number("RECOVERY_RETENTION_DAYS", 1100, minimum=1, maximum=3650)
# Samples of health for trends: every 5 minutes, the worst of each hour, the worst of each day.
SAMPLE_RETENTION_DAYS = environment.number("SAMPLE_RETENTION_DAYS", 3, minimum=1, maximum=3650)
HOURLY_RETENTION_DAYS = environment.number("HOURLY_RETENTION_DAYS", 40, minimum=1, maximum=3650)
DAILY_RETENTION_DAYS = environment.number("DAILY_RETENTION_DAYS", 1100, minimum=1, maximum=3650)
# The limits that rules judge by, and what clusters with a label get instead.
THRESHOLDS = environment.thresholds("THRESHOLDS")
THRESHOLDS_BY_LABEL = environment.thresholds_by_label("THRESHOLDS_BY_LABEL", THRESHOLDS)
# After how many days values are to be rotated.
ROTATION_POLICY = environment.rotation_policy("ROTATION_POLICY")
# Which clusters should be alike, and what may differ between them.
DRIFT_RULES = environment.drift_rules("DRIFT_RULES")
# Credentials are sealed for the public key; only a process that holds the private key (a worker) can open them.
CREDENTIAL_PUBLIC_KEY = environment.sealing_key("CREDENTIAL_PUBLIC_KEY")
CREDENTIAL_PRIVATE_KEY = environment.sealing_key("CREDENTIAL_PRIVATE_KEY")
# What a worker makes tags with, of hashes that must not be stored (clusters.tagging). Without it there are no tags.
TAG_KEY = environment.key("TAG_KEY")
# Networks that may be dialled although the hard floor forbids them: loopback, link-local, metadata services, our own
# database and broker. The latter are resolved when the first address is checked, not here.
DIAL_ALLOWED_NETWORKS = dial.policy(
    environment.networks("DIAL_ALLOWED_NETWORKS"),
    own_hosts=environment.tcp_hosts(str(DATABASES["default"]["HOST"]), REDIS_URL),
)

# --- Django ---
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "django_htmx",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "secretsdash.apps.SecretsdashConfig",
    "clusters",
    "monitoring",
    "monitoring.api",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",  # last, as its documentation asks
]
ROOT_URLCONF = "secretsdash.urls"
WSGI_APPLICATION = "secretsdash.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
LANGUAGE_CODE = "en-gb"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True
LOGGING = logs.configuration(
    level=environment.text("LOG_LEVEL", "INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR")),
    form=environment.text("LOG_FORMAT", "json", choices=("json", "console")),
)

# --- Static files ---
# Collected, compressed and hashed when STATIC_ROOT is set; otherwise served from the sources (development, tests).
STATIC_ROOT = environment.text("STATIC_ROOT") or None
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "secretsdash.plotly_script.PlotlyScriptFinder",
]
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
WHITENOISE_ALLOW_ALL_ORIGINS = False  # no other site has a use for them
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_ROOT
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# --- Signing in ---
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "sign-in"
# Ten wrong passwords for one name from one address, then a quarter of an hour of silence.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_LOCKOUT_TEMPLATE = "registration/locked.html"

# --- What the browser may do ---
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS_PROXY
SECURE_SSL_REDIRECT = BEHIND_TLS_PROXY
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # the orchestrator asks without TLS
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS_PROXY else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS_PROXY else None

# --- REST ---
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "knox.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
KNOX_TOKEN_MODEL = "api.ApiToken"
# knox's own migrations make a table for the model that ours replaces. Nothing would use it, and its foreign key would
# keep Django from emptying the database between tests.
MIGRATION_MODULES = {"knox": None}
REST_KNOX = {"AUTH_HEADER_PREFIX": "Token", "TOKEN_TTL": timedelta(days=365), "AUTO_REFRESH": False}
SPECTACULAR_SETTINGS = {
    "TITLE": "secretsdash",
    "VERSION": __version__,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "ENUM_NAME_OVERRIDES": {"Health": "monitoring.api.serializers.HEALTH_CHOICES"},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}
