"""What the shop's customers do: shop_load.py PORT SECONDS [PAUSE [SEED]]."""

import http.client
import json
import random
import sys
import time

USERS = ("alice", "bob", "carol")
SKUS = ("tea-001", "tea-002", "pot-001", "cup-001", "cup-999")


def visit(dice):
    """One request: (method, path, body)."""
    user, sku = dice.choice(USERS), dice.choice(SKUS)
    return dice.choices([
        ("GET", "/products", None),
        ("GET", f"/products/{sku}", None),
        ("GET", f"/cart/{user}", None),
        ("POST", f"/cart/{user}/items", json.dumps({"sku": sku, "count": dice.randint(1, 3)})),
        ("POST", f"/checkout/{user}", None),
        ("GET", "/reports/2026-11", None),
        ("GET", "/healthz", None),
        ("GET", f"/orders/{user}", None),
        ("GET", f"/orders/{user}?search=web", None),
        ("POST", f"/watch/{user}/{sku}", None),
    ], weights=(5, 8, 5, 4, 3, 1, 2, 3, 1, 1))[0]


def main(port, seconds, pause=0.15, seed=4):
    dice, until = random.Random(seed), time.monotonic() + seconds
    while time.monotonic() < until:
        method, path, body = visit(dice)
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            c.request(method, path, body, {"User-Agent": "demo/1.0"})
            c.getresponse().read()
        except (http.client.HTTPException, OSError):
            pass  # the report's panic closes the connection
        finally:
            c.close()
        time.sleep(dice.uniform(pause / 3, pause * 5 / 3))


if __name__ == "__main__":
    main(int(sys.argv[1]), *map(float, sys.argv[2:]))
