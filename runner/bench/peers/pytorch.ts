/**
 * PyTorch as a process that speaks JSON lines: requests on stdin, answers on stdout, arrays as { shape, base64 }. Text, so that the
 * bundle has it; it needs torch 1.13 or newer and nothing else.
 */

/** What PyTorch can be asked for: a device and the arithmetic of its convolutions. */
export const PYTORCH_MODES = ['cpu', 'cuda fp32', 'cuda tf32', 'cuda amp'] as const;
export type PytorchMode = (typeof PYTORCH_MODES)[number];

/** Prints whether there is CUDA. */
export const PYTORCH_PROBE = 'import torch; print(torch.cuda.is_available())';

/** Takes the mode as its only argument. */
export const PYTORCH_SCRIPT = `
import base64, contextlib, json, os, sys, time
from array import array

answers = os.fdopen(os.dup(1), 'w')
os.dup2(2, 1)
import torch
import torch.nn.functional as F

mode = sys.argv[1]
device = torch.device('cuda' if mode.startswith('cuda') else 'cpu')
amp = mode == 'cuda amp'
torch.set_num_threads(1)
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = mode == 'cuda tf32'
torch.backends.cudnn.benchmark = True
one_dnn = device.type == 'cpu' and torch.backends.mkldnn.is_available()
memory_format = torch.channels_last_3d if amp else torch.contiguous_format

def tensor(given, order=None):
    values = torch.frombuffer(bytearray(base64.b64decode(given['base64'])), dtype=torch.float32).reshape(given['shape'])
    values = values.permute(order).contiguous() if order else values
    values = values.to(device)
    return values.contiguous(memory_format=memory_format) if values.dim() == 5 else values

def base(values, order=None):
    values = values.detach().float().cpu()
    values = (values.permute(order) if order else values).contiguous().flatten()
    return {'base64': base64.b64encode(array('f', values.tolist()).tobytes()).decode()}

def wait():
    if device.type == 'cuda':
        torch.cuda.synchronize()

def autocast():
    return torch.autocast('cuda', torch.float16) if amp else contextlib.nullcontext()

FIRST, LAST = (0, 4, 1, 2, 3), (0, 2, 3, 4, 1)
FILTERS, FILTERS_BACK = (4, 3, 0, 1, 2), (2, 3, 4, 1, 0)
UP, UP_BACK = (3, 4, 0, 1, 2), (2, 3, 4, 0, 1)

def convolution(work):
    x, w, dy = tensor(work['x'], FIRST), tensor(work['w'], FILTERS), tensor(work['dy'], FIRST)
    both = work['gradients']
    x.requires_grad_(both)
    w.requires_grad_(both)
    def convolved():
        if one_dnn:
            return torch.mkldnn_convolution(x, w, None, (1, 1, 1), (1, 1, 1), (1, 1, 1), 1)
        return F.conv3d(x, w, padding=1)
    def once():
        with autocast(), contextlib.nullcontext() if both else torch.no_grad():
            y = convolved()
        if not both:
            return [y]
        return [y, *torch.autograd.grad(y, [x, w], dy.to(y.dtype))]
    found = once()
    results = {'y': base(found[0], LAST)}
    if both:
        results.update(dx=base(found[1], LAST), dw=base(found[2], FILTERS_BACK))
    return results, once, ['forward by oneDNN by name: F.conv3d takes a slower kernel for a single small volume'] if one_dnn else []

def order_of(name):
    if name.endswith('.up.weight'):
        return UP, UP_BACK
    return (FILTERS, FILTERS_BACK) if name.endswith(('conv.weight', 'head.weight')) else (None, None)

def forward(p, levels, slope, epsilon, x):
    def blocks(at, y):
        for block in (0, 1):
            name = f'{at}.{block}'
            y = F.conv3d(y, p[name + '.conv.weight'], padding=1)
            y = F.instance_norm(y, weight=p[name + '.norm.weight'], bias=p[name + '.norm.bias'], eps=epsilon)
            y = F.leaky_relu(y, slope, inplace=True)
        return y
    skips, y = [], blocks('encoder.0', x)
    for level in range(1, levels):
        skips.append(y)
        y = blocks(f'encoder.{level}', F.max_pool3d(y, 2))
    for level in reversed(range(levels - 1)):
        at = f'decoder.{level}'
        y = F.conv_transpose3d(y, p[at + '.up.weight'], p[at + '.up.bias'], stride=2)
        y = blocks(at, torch.cat([y, skips[level]], 1))
    return F.conv3d(y, p['head.weight'], p['head.bias'])

def loss_of(logits, labels, target, epsilon):
    logits = logits.float()
    p = logits.softmax(1)
    axes = (0, 2, 3, 4)
    shared = 2 * (p * target).sum(axes) + epsilon
    total = (p * p).sum(axes) + target.sum(axes) + epsilon
    return (F.cross_entropy(logits, labels) + 1 - (shared / total).mean()) / 2

def network(work):
    epsilon, training = work['epsilon'], work['training']
    x = tensor(work['x'], FIRST)
    parameters = {g['name']: tensor(g, order_of(g['name'])[0]).requires_grad_(training) for g in work['parameters']}
    def logits():
        with autocast():
            return forward(parameters, len(work['channels']), work['slope'], epsilon, x)
    if not training:
        def once():
            with torch.no_grad():
                return [logits()]
        return {'logits': base(once()[0], LAST)}, once, []
    labels = tensor(work['labels'], None).long()
    target = F.one_hot(labels, work['classes']).permute(FIRST).float().contiguous(memory_format=memory_format)
    optimizer = torch.optim.SGD(parameters.values(), lr=work['rate'], momentum=work['momentum'])
    GradScaler = getattr(torch.amp, 'GradScaler', None) or torch.cuda.amp.GradScaler
    scaler = GradScaler(init_scale=1024.0, enabled=amp)
    def once():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(logits(), labels, target, epsilon)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return [loss]
    before = {name: p.detach().clone() for name, p in parameters.items()}
    losses = [once()[0].item()]
    def moved(name):
        change = parameters[name].detach() - before[name]
        back = order_of(name)[1]
        return (change.permute(back) if back else change).float().cpu().contiguous().flatten()
    update = torch.cat([moved(name) for name in parameters])
    del before
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats()
    while len(losses) < work['steps']:
        losses.append(once()[0].item())
    return {'losses': base(torch.tensor(losses)), 'update': base(update)}, once, []

once = None
cuda = device.type == 'cuda'
name = torch.cuda.get_device_name(0) if cuda else 'CPU, 1 thread'
reply = {'answer': 'open', 'backend': mode, 'adapter': name, 'version': torch.__version__}
while True:
    print(json.dumps(reply), file=answers, flush=True)
    line = sys.stdin.readline()
    if not line:
        break
    request = json.loads(line)
    try:
        if request['ask'] == 'prepare':
            if cuda:
                torch.cuda.reset_peak_memory_stats()
            work = request['work']
            results, once, notes = (convolution if work['kind'] == 'convolution' else network)(work)
            wait()
            reply = {'answer': 'prepared', 'results': results, 'notes': notes}
            if cuda:
                reply['gpuBytes'] = torch.cuda.max_memory_allocated()
        elif request['ask'] == 'run':
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(request['times']):
                once()
            wait()
            reply = {'answer': 'ran', 'wallMs': 1000 * (time.perf_counter() - wall), 'cpuMs': 1000 * (time.process_time() - cpu)}
        else:
            once = None
            if cuda:
                torch.cuda.empty_cache()
            reply = {'answer': 'released'}
    except Exception as error:
        once = None
        reply = {'answer': 'failed', 'reason': f'{type(error).__name__}: {error}'.splitlines()[0]}
`;
