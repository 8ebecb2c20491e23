// Drives an engine through dockerode as a JavaScript program would. Prints one line per check, ends with 1 at the first failure.
'use strict';
const assert = require('node:assert');
const { PassThrough } = require('node:stream');
const Docker = require('dockerode');

const docker = new Docker({ socketPath: process.env.ARCA_SOCKET });
const name = (suffix) => `dockerode-${process.pid}-${suffix}`;

const collect = () => {
  const stream = new PassThrough();
  const chunks = [];
  stream.on('data', (c) => chunks.push(c));
  return { stream, text: () => Buffer.concat(chunks).toString() };
};
const ended = (stream) => new Promise((resolve, reject) => stream.on('end', resolve).on('close', resolve).on('error', reject));

const checks = {
  async pingVersionInfo() {
    assert.strictEqual((await docker.ping()).toString(), 'OK');
    assert.strictEqual((await docker.version()).Os, 'linux');
    assert.strictEqual((await docker.info()).OSType, 'linux');
  },
  async pullWithProgress() {
    const stream = await docker.pull('busybox:latest');
    const events = await new Promise((resolve, reject) => docker.modem.followProgress(stream, (err, all) => (err ? reject(err) : resolve(all))));
    assert.ok(events.some((e) => /Status: /.test(e.status)), 'a pull ends with its status');
  },
  async listImages() {
    const images = await docker.listImages();
    assert.ok(images.some((i) => (i.RepoTags || []).includes('busybox:latest')));
  },
  async runWithStreams() {
    const out = collect();
    const err = collect();
    const [result, container] = await docker.run('busybox', ['sh', '-c', 'echo out; echo err >&2; exit 3'], [out.stream, err.stream], { Tty: false, HostConfig: { NetworkMode: 'none' } });
    assert.strictEqual(result.StatusCode, 3);
    assert.strictEqual(out.text(), 'out\n');
    assert.strictEqual(err.text(), 'err\n');
    await container.remove();
  },
  async attachStdin() {
    const container = await docker.createContainer({ name: name('stdin'), Image: 'busybox', Cmd: ['cat'], OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true });
    const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
    const out = collect();
    container.modem.demuxStream(stream, out.stream, out.stream);
    await container.start();
    stream.write('through\n');
    stream.end();
    await container.wait();
    await ended(stream);
    assert.strictEqual(out.text(), 'through\n');
    await container.remove();
  },
  async execAndInspect() {
    const container = await docker.createContainer({ name: name('exec'), Image: 'busybox', Cmd: ['sleep', '1000'] });
    await container.start();
    try {
      const exec = await container.exec({ Cmd: ['sh', '-c', 'cat; exit 4'], AttachStdin: true, AttachStdout: true, AttachStderr: true });
      const stream = await exec.start({ hijack: true, stdin: true });
      const out = collect();
      docker.modem.demuxStream(stream, out.stream, out.stream);
      stream.end('to exec');
      await ended(stream);
      assert.strictEqual(out.text(), 'to exec');
      assert.strictEqual((await exec.inspect()).ExitCode, 4);
      const stats = await container.stats({ stream: false });
      assert.ok(stats.memory_stats.usage > 0);
      const top = await container.top();
      assert.ok(top.Processes.length >= 1);
    } finally {
      await container.remove({ force: true });
    }
  },
  async logsFollow() {
    const container = await docker.createContainer({ name: name('logs'), Image: 'busybox', Cmd: ['sh', '-c', 'for i in 1 2 3; do echo $i; sleep 0.1; done'] });
    await container.start();
    const stream = await container.logs({ follow: true, stdout: true, stderr: true });
    const out = collect();
    container.modem.demuxStream(stream, out.stream, out.stream);
    await ended(stream);
    assert.strictEqual(out.text(), '1\n2\n3\n');
    await container.remove();
  },
  async archives() {
    const container = await docker.createContainer({ name: name('archive'), Image: 'busybox', Cmd: ['true'] });
    const stream = await container.getArchive({ path: '/etc/passwd' });
    const chunks = [];
    for await (const c of stream) chunks.push(c);
    const tar = Buffer.concat(chunks);
    assert.ok(tar.includes('root:x:0:0'));
    await container.putArchive(tar, { path: '/tmp' });
    await container.remove();
  },
  async volumes() {
    const volume = await docker.createVolume({ Name: name('volume') });
    assert.strictEqual((await volume.inspect()).Driver, 'local');
    assert.ok((await docker.listVolumes()).Volumes.some((v) => v.Name === name('volume')));
    await volume.remove();
  },
  async events() {
    const stream = await docker.getEvents({ filters: { type: ['volume'] } });
    const seen = new Promise((resolve) => stream.once('data', (d) => resolve(JSON.parse(d))));
    const volume = await docker.createVolume({ Name: name('event') });
    assert.strictEqual((await seen).Actor.ID, name('event'));
    stream.destroy();
    await volume.remove();
  },
  async errors() {
    await assert.rejects(docker.getContainer('no-such').inspect(), (e) => e.statusCode === 404 && /No such container: no-such/.test(e.json.message));
    await assert.rejects(docker.createContainer({ Image: 'no-such-image' }), (e) => e.statusCode === 404);
    await assert.rejects(docker.createContainer({ name: 'x', Image: 'busybox' }), (e) => e.statusCode === 400);
  },
};

(async () => {
  for (const [check, body] of Object.entries(checks)) {
    try {
      await body();
      console.log(`ok ${check}`);
    } catch (e) {
      console.log(`FAILED ${check}: ${e.stack}`);
      process.exitCode = 1;
    }
  }
  process.exit();
})();
