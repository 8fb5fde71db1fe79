// The code that pages show for Python, run on the built package and HQ as it is.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { Hq } from '../../crates/bindings-node/test/support/hq.mjs'
import { Blocks, replaced, root } from './blocks.mjs'

const blocks = new Blocks('python')
const README = 'crates/bindings-python/README.md'
const PYTHON = process.env.LEASEHOLD_PYTHON ?? join(root, 'target/python/tested/bin/python')
/** Where the suite `ofrep` installs OpenFeature's clients. */
const CLIENTS = join(root, 'target/ofrep/python/bin/python')
const TENANT = 'om-muscat-sparkle'

/** Runs a file whose first level may await, as a notebook's; `answers` tells what came, `change` has HQ change something. */
const DRIVER = `
import ast, asyncio, inspect, json, sys
def answers(**what):
    print(json.dumps({"answers": what}), flush=True)
def change():
    print(json.dumps({"change": True}), flush=True)
    return json.loads(sys.stdin.readline())
with open(sys.argv[1]) as file:
    code = compile(file.read(), sys.argv[1], "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
running = eval(code, globals())
if inspect.iscoroutine(running):
    asyncio.run(running)
`

let hq, folder, follow
before(async () => {
  hq = await Hq.open()
  folder = await mkdtemp(join(tmpdir(), 'leasehold-docs-'))
  await writeFile(join(folder, 'driver.py'), DRIVER)
  await writeFile(join(folder, 'trust.json'), hq.desk.trust)
  await cp(hq.desk.at('definitions'), join(folder, 'definitions'), { recursive: true })
  await rm(join(folder, 'definitions/tenants'), { recursive: true })
  const { url, token } = await hq.options('orders-1')
  follow = { LEASEHOLD_URL: url, LEASEHOLD_TOKEN: token, LEASEHOLD_TRUST: 'trust.json', PYTHONUTF8: '1' }
})
after(async () => {
  await hq?.close()
  await rm(folder, { recursive: true, force: true })
})

/** What pages take for granted: where HQ is, and whom to believe. */
const GIVEN = `
import os
from pathlib import Path
url, token, trust = os.environ["LEASEHOLD_URL"], os.environ["LEASEHOLD_TOKEN"], Path("trust.json").read_text()
`
const address = () => ({ 'https://hq.example': hq.url })
/** What functions do that are shown without a body. */
const bodies = (text, body) => text.replaceAll(/: \.\.\.$/gm, `: ${body}`)

/** Runs code, and gives what it answers. */
async function run(text, { program = PYTHON, environment = follow } = {}) {
  await writeFile(join(folder, 'main.py'), text)
  const options = { cwd: folder, env: { ...process.env, ...environment }, stdio: ['pipe', 'pipe', 'pipe'] }
  const child = spawn(program, ['driver.py', 'main.py'], options)
  const said = []
  let answers
  createInterface({ input: child.stderr }).on('line', (line) => said.push(line))
  createInterface({ input: child.stdout }).on('line', (line) => {
    const told = line.startsWith('{"') ? JSON.parse(line) : {}
    if (told.change) {
      hq.changePlan('ae-alain-oasis', '2-starter', (plan = plan === 'growth' ? 'starter' : 'growth')).then(
        (revision) => child.stdin.write(`${revision}\n`),
        (error) => child.kill() && said.push(String(error)),
      )
    }
    answers = told.answers ?? answers
  })
  const code = await new Promise((ended) => child.on('close', ended))
  assert.equal(code, 0, `${said.join('\n')}\n--- in\n${text}`)
  return answers
}
let plan = 'starter'

test('README.md: follows HQ and asks', async () => {
  const shown = replaced(blocks.take('README.md', 7), { ...address(), '    ...': '    said = True' })
  const text = `${GIVEN}
from leasehold import Engine
said = False
${shown}
answers(said=said, asked=engine.is_enabled("${TENANT}", "pdf_invoices"))
engine.close()`
  assert.deepEqual(await run(text), { said: true, asked: true })
})

test(`${README}: two minutes`, async () => {
  await run(blocks.take(README, 2))
})

test(`${README}: following, and being told`, async () => {
  const shown = replaced(
    blocks.take(README, 3, '(told.append(changes), heard.set())', 'refused.append(fault)'),
    address(),
  )
  const text = `import os
import threading
from pathlib import Path
from leasehold import Engine
told, refused, heard = [], [], threading.Event()
${shown}
engine.wait_for(change(), 60_000)
assert heard.wait(60)
engine.close()
answers(told=[group.tenants for changes in told for group in changes.groups], refused=len(refused))`
  assert.deepEqual(await run(text), { told: [['ae-alain-oasis']], refused: 0 })
})

test(`${README}: asyncio`, async () => {
  const shown = blocks.take(README, 4, 'url', 'token', 'trust')
  const text = `${GIVEN}
import asyncio
revision = 0
${replaced(shown, { 'async for': 'changing = asyncio.ensure_future(asyncio.to_thread(change))\nasync for', '    ...': '    break' })}
answers(tenants=changes.groups[0].tenants)
await changing
engine.close()`
  assert.deepEqual(await run(text), { tenants: ['ae-alain-oasis'] })
})

test(`${README}: FastAPI`, async () => {
  const text = `
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from leasehold.testing import Policies
engine, app = Policies({"acme": {"features": {"pdf_invoices": True}}, "bare": {}}), FastAPI()
${bodies(blocks.take(README, 5), 'return id')}
with TestClient(app) as client:
    answers(statuses=[client.get("/invoices/1.pdf", headers={"x-tenant-id": tenant}).status_code for tenant in ("acme", "bare")])`
  assert.deepEqual(await run(text), { statuses: [200, 403] })
})

test('docs/openfeature-python.md', async () => {
  const first = replaced(blocks.take('docs/openfeature-python.md', 1), address())
  const second = blocks.take('docs/openfeature-python.md', 2)
  const text = `${GIVEN}
${first}
details = client.get_integer_details("max_branches", 1, context)
api.shutdown()
engine = Engine.follow(url=url, token=token, trust=trust)
provider = ${second}
api.set_provider_and_wait(provider)
shop = EvaluationContext("somebody", {"shop": "${TENANT}"})
in_shop = client.get_boolean_value("delivery", False, shop)
api.shutdown()
provider = ${blocks.take('docs/openfeature-python.md', 3)}
api.set_provider_and_wait(provider)
layout = client.get_object_details("receipt_layout", {}, context)
rate = client.get_float_details("late_fee_rate", 0.0, context)
answers(
    delivery=delivery, branches=branches, variant=details.variant, same=details.value, shop=in_shop,
    owner=layout.flag_metadata["owner"], rate=rate.variant,
)
api.shutdown()
engine.close()`
  const { branches, same, ...others } = await run(text)
  assert.deepEqual(others, { delivery: true, variant: 'on', shop: true, owner: 'billing', rate: 'usual' })
  assert.equal(branches, same)
})

test('docs/ofrep.md: the client for Python', async () => {
  const { secret } = await hq.asks('POST', '/v1/tokens', { name: 'shop', scopes: ['flags:evaluate'] })
  const text = `${replaced(blocks.take('docs/ofrep.md', 6), address())}
answers(delivery=delivery, variant=branches.variant, error=branches.error_code)`
  const environment = { LEASEHOLD_TOKEN: secret }
  assert.deepEqual(await run(text, { program: CLIENTS, environment }), { delivery: true, variant: 'on', error: null })
})

const fastapi = (number) => blocks.take('docs/fastapi.md', number)

/** What the pieces of the page take for granted, then the pieces. */
const APP = () => `${GIVEN}
from typing import Annotated
from fastapi import APIRouter, Depends, FastAPI, Header, Response
from fastapi.testclient import TestClient
from pydantic import BaseModel
${fastapi(1)}
${bodies(fastapi(3), 'return Response(number)')}
app.include_router(router)
`

test('docs/fastapi.md: an app that follows HQ', async () => {
  const text = `${APP()}
class User(BaseModel):
    name: str
class Order(BaseModel):
    stage: str = "ready"
    facts: dict = {"invoice_issued": True, "balance_due_minor": 0, "customer_type": "individual"}
    category: str | None = None
class Motion(BaseModel):
    to: str
Database = Annotated[object, Depends(lambda: None)]
NamedOrder = Annotated[Order, Depends(lambda: Order())]
Moving = Motion
Roles = Annotated[list, Depends(lambda: ["counter"])]
${replaced(fastapi(4), { '-> int: ...': '-> int: return 10', '(room_for_one)]): ...': '(room_for_one)]): return limit' })}
${bodies(fastapi(5), 'return {"transition": allowed.transition}')}
${fastapi(6)}
as_of = lambda tenant: {"headers": {"x-tenant-id": tenant}}
with TestClient(app) as client:
    tenant = as_of("${TENANT}")
    answers(
        pdf=client.get("/invoices/7.pdf", **tenant).text,
        outcome=client.post("/users", json={"name": "ada"}, **tenant).json()["outcome"],
        moved=client.post("/orders/1/moves", json={"to": "closed"}, **tenant).json(),
        plan=client.get("/entitlements", **tenant).json()["plan"],
        blocked=client.get("/invoices/7.pdf", **as_of("om-seeb-express")).json()["reason"],
    )`
  assert.deepEqual(await run(text), {
    pdf: '7',
    outcome: 'warn',
    moved: { transition: 'pick_up' },
    plan: 'growth',
    blocked: 'blocked',
  })
})

test('docs/fastapi.md: whom a request is for', async () => {
  const shown = replaced(fastapi(2), {
    '\nleasehold = Leasehold(make_engine, tenant=lambda':
      '\nfirst = leasehold\nleasehold = Leasehold(make_engine, tenant=lambda',
  })
  const text = `
from types import SimpleNamespace
from typing import Annotated
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient
from leasehold.fastapi import Leasehold
from leasehold.testing import Policies
class User(SimpleNamespace): ...
def current_user() -> User:
    return User(tenant_id="acme")
def make_engine():
    return Policies({"acme": {"features": {"pdf_invoices": True}}})
${shown}
def asked(leasehold):
    app = FastAPI()
    leasehold.install(app)
    @app.middleware("http")
    async def knows(request: Request, call_next):
        request.state.tenant_id = "acme"
        return await call_next(request)
    @app.get("/", dependencies=[Depends(leasehold.require("pdf_invoices"))])
    def page(): return "ok"
    with TestClient(app) as client:
        return client.get("/").status_code
answers(statuses=[asked(first), asked(leasehold)])`
  assert.deepEqual(await run(text), { statuses: [200, 200] })
})

test('docs/fastapi.md: a refusal, and keys that there are not', async () => {
  const text = `
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from leasehold.fastapi import Leasehold
from leasehold.testing import Policies
policies = Policies({"acme": {"features": {"pdf_invoices": True}}, "bare": {}})
def app_that_asks_for(feature):
    leasehold, app = Leasehold(policies), FastAPI()
    leasehold.install(app)
    @app.get("/invoices/{number}.pdf", dependencies=[Depends(leasehold.require(feature))])
    def print_invoice(number: str): ...
    return app
with TestClient(app_that_asks_for("pdf_invoices")) as client:
    refused = client.get("/invoices/1.pdf", headers={"x-tenant-id": "bare"})
try:
    with TestClient(app_that_asks_for("pdf_invoice")):
        why = None
except Exception as error:
    why = str(error)
answers(type=refused.headers["content-type"], problem=refused.json(), why=why)`
  const { type, problem, why } = await run(text)
  assert.equal(type, 'application/problem+json')
  assert.deepEqual({ ...problem, revision: 0 }, { ...JSON.parse(fastapi(7)), revision: 0 })
  assert.equal(plain(why), plain(fastapi(8)))
})

const plain = (text) =>
  text
    .trim()
    .replace(/revision \d+/, 'revision N')
    .replace(/^[ \t]+/gm, ' ')

test('docs/fastapi.md: policies', async () => {
  const text = `
from pathlib import Path
${fastapi(9)}
changed = [policies.is_enabled("acme", "pdf_invoices"), policies.is_enabled_or("bare", "pdf_invoices", True)]
${fastapi(10)}
answers(changed=changed, plan=policies.tenant("acme").entitlements().plan, delivery=policies.is_enabled("acme", "delivery"))`
  // The tenant that was removed has no answer of its own.
  assert.deepEqual(await run(text), { changed: [false, true], plan: 'growth', delivery: true })
})

test('docs/fastapi.md: tests with pytest', async () => {
  const at = join(folder, 'tested')
  await mkdir(at)
  await writeFile(join(at, 'shop.py'), APP().replace('Path("trust.json")', 'Path("../trust.json")'))
  await writeFile(
    join(at, 'test_invoices.py'),
    `import pytest\nfrom fastapi.testclient import TestClient\nfrom shop import app, leasehold\n${fastapi(11)}`,
  )
  assert.match(await pytest(at), /1 passed/)
})

async function pytest(cwd) {
  const options = { cwd, env: { ...process.env, ...follow, PYTHONPATH: cwd } }
  return new Promise((tested) => {
    execFile(PYTHON, ['-m', 'pytest', '-q', '-p', 'no:cacheprovider'], options, (error, stdout, stderr) => {
      assert.equal(error, null, stdout + stderr)
      tested(stdout)
    })
  })
}

const django = (number, ...elided) => blocks.take('docs/django.md', number, ...elided)

test('docs/django.md: a project', async () => {
  const at = join(folder, 'project')
  const ok = 'return HttpResponse("ok")'
  const shown = django(3)
  const views = shown.replace(
    'class Invoices(View): ...',
    'class Invoices(View):\n    def get(self, request): return HttpResponse("ok")',
  )
  const files = {
    'settings.py': `import os
from pathlib import Path
SECRET_KEY, ALLOWED_HOSTS, ROOT_URLCONF, USE_TZ = "of tests", ["*"], "urls", True
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [Path(__file__).parent / "templates"],
              "OPTIONS": {"context_processors": ["django.template.context_processors.request"]}}]
${replaced(django(1), { '[..., ': '[' }).replace('MIDDLEWARE = [', 'MIDDLEWARE = ["orders.tenants.authenticates", ')}`,
    'orders/__init__.py': '',
    'orders/tenants.py': `from types import SimpleNamespace
${django(2)}
def authenticates(get_response):
    """In place of Django's own: who asks stands in a header."""
    def middleware(request):
        tenant = request.headers.get("x-user")
        request.user = SimpleNamespace(is_authenticated=tenant is not None, tenant_id=tenant)
        return get_response(request)
    return middleware`,
    'orders/views.py': `from types import SimpleNamespace
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.defaults import permission_denied
class Order:
    stage, facts = "ready", {"invoice_issued": True, "balance_due_minor": 0, "customer_type": "individual"}
def get_object_or_404(model, pk): return model()
def roles_of(user): return ["manager"]
class User:
    class objects:
        @staticmethod
        def filter(tenant): return SimpleNamespace(count=lambda: 10)
${bodies(views, ok).replace('# `warn`', '; return HttpResponse(limit.outcome)  # `warn`')}
${bodies(django(5), ok)}
def page(request): return render(request, "page.html", {"users": SimpleNamespace(count=10)})`,
    'urls.py': `from django.urls import path
from orders import views
urlpatterns = [
    path("print/<pk>", views.print_invoice), path("list", views.list_invoices), path("users", views.add_user),
    path("close/<pk>", views.close_order), path("invoices", views.Invoices.as_view()), path("page/<pk>", views.invoice_page),
    path("template", views.page),
]`,
    'templates/page.html': `${django(4, 'invoice.pdf', 'Growth')}{{ has_pdf }} {{ currency }} {{ can_add }}`,
    'templates/403.html': '<h1>No</h1>',
    'ask.py': `import django, json, os
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
from django.core.management import call_command
from django.test import Client, override_settings
import leasehold.django
call_command("check", fail_level="WARNING")
client = Client()
get = lambda path, tenant="${TENANT}": client.get(path, headers={"x-user": tenant})
said = {path: get(path).content.decode() for path in ("/print/1", "/list", "/users", "/close/1", "/invoices", "/page/1", "/template")}
refused = get("/print/1", "om-seeb-express")
page = get("/page/1", "om-seeb-express")
leasehold.django.engine().close()
${replaced(django(7), { '/invoices/1.pdf': '/print/1' })}
print(json.dumps({"said": said, "refused": refused.json()["reason"], "page": page.content.decode()}))`,
  }
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(at, name)), { recursive: true })
    await writeFile(join(at, name), text)
  }
  await writeFile(join(at, 'trust.json'), hq.desk.trust)
  const { said, refused, page } = JSON.parse((await script(at, ['ask.py'])).stdout.trim().split('\n').at(-1))
  const { '/users': outcome, '/template': rendered, ...others } = said
  assert.deepEqual([...new Set(Object.values(others))], ['ok'])
  assert.equal(outcome, 'warn')
  assert.equal(rendered.replaceAll('\n', ''), '<a href="invoice.pdf">PDF</a>0 of 10True OMR True')
  assert.equal(refused, 'blocked')
  assert.equal(page, '<h1>No</h1>')

  // A key that there is not, at the line that is shown.
  const [, file, line] = /\/app\/(\S+):(\d+):/.exec(django(6))
  const decorated = '@feature_required("pdf_invoice")\ndef print_invoice(request, pk): ...\n'
  const head = 'from leasehold.django import feature_required\n'
  await mkdir(join(at, dirname(file)), { recursive: true })
  await writeFile(join(at, dirname(file), '__init__.py'), '')
  await writeFile(join(at, file), head + '\n'.repeat(Number(line) - 2) + decorated)
  const module = file.replace(/\.py$/, '').replaceAll('/', '.')
  await writeFile(
    join(at, 'urls.py'),
    `from django.urls import path\nfrom ${module} import print_invoice\nurlpatterns = [path("", print_invoice)]`,
  )
  const checked = await script(at, ['-m', 'django', 'check', '--settings', 'settings'], 1)
  const told = plain(checked.stderr.replaceAll(`${at}/`, '/app/')).split('\n')
  for (const shownLine of plain(django(6)).split('\n')) {
    assert.ok(told.includes(shownLine), `${shownLine}\nis not in\n${told.join('\n')}`)
  }
})

/** Runs Python in a folder, which ends with this code. */
async function script(cwd, words, ending = 0) {
  const options = { cwd, env: { ...process.env, ...follow, PYTHONPATH: cwd } }
  return new Promise((ended) => {
    execFile(PYTHON, words, options, (error, stdout, stderr) => {
      assert.equal(error?.code ?? 0, ending, stdout + stderr)
      ended({ stdout, stderr })
    })
  })
}

test('all that is claimed was run', () => blocks.done())
