"""Signing in. Everything else of access is Django's and axes'."""

from django.contrib.auth.views import LoginView


class SignIn(LoginView):
    """Asks for name and password; who is signed in already goes on."""

    template_name = "registration/sign_in.html"
    redirect_authenticated_user = True
