/** What people may send: nothing of it is executed, nothing breaks the layout. */

import { expect, test } from './support.mjs';

const HOSTILE = [
  '<script>window.hit = 1</script>',
  '<img src=x onerror="window.hit = 2"><svg onload="window.hit = 3">',
  '[click](javascript:window.hit=4) [data](data:text/html,<script>window.hit=5</script>)',
  '[a](  javascript:window.hit=6) [b](jAvAsCrIpT:window.hit=7) [c](vbscript:window.hit=8)',
  'javascript:window.hit=9 <a href="javascript:window.hit=10">x</a>',
  '![x](https://evil.example/pixel.png) <iframe src="https://evil.example"></iframe>',
  '```html\n<script>window.hit = 11</script>\n```',
  '`<b onmouseover=window.hit=12>`',
  '[https://bank.example](https://evil.example/login)',
  'https://bank.example@evil.example/login',
  '\u202Egnp.exe\u202C and \u2066\u2067\u202Emore of it',
  '{{constructor.constructor("window.hit=13")()}} ${window.hit=14}',
  '*'.repeat(3000), '['.repeat(3000), '> '.repeat(500), '`'.repeat(2999), '_*~~['.repeat(800),
  `${'- '.repeat(200)}deep`, `# ${' '.repeat(3000)}#`, '|||'.repeat(1000),
  'Z\u0351\u0342\u0310\u034a\u0357'.repeat(60),
  '\u{1F469}\u200D\u{1F469}\u200D\u{1F467}'.repeat(200),
  'العربية والإنجليزية mixed with English, and 123',
  'x'.repeat(32 * 1024),
  `https://example.com/${'y'.repeat(32 * 1024)}`,
  `\`\`\`\n${'z'.repeat(32 * 1024)}\n\`\`\``,
];
const NAME = '\u202E<b>Eve</b> ‮' + 'M'.repeat(60);
const TITLE = '<img src=x onerror=window.hit=20> \u202Eeltit ' + 'W'.repeat(150);

test('hostile messages, names and titles do nothing', async ({ people, server }) => {
  const eve = await server.account('Eve');
  const other = await server.call('POST', '/api/register', {
    name: NAME, email: `x${Date.now()}@example.com`, password: 'correct horse battery',
  });
  const { id } = await server.createSession(other.token, TITLE);
  const ada = await people('Ada Calm');
  await server.add(other.token, id, ada.email);
  await server.add(other.token, id, eve.email);
  for (const [at, content] of HOSTILE.entries()) {
    await server.send(at % 2 ? eve.token : other.token, id, content, {
      file_url: at % 5 === 0 ? `https://evil.example/${'f'.repeat(1500)}%E0%A4%A` : undefined,
    });
  }
  await ada.sessions.getByRole('link').first().click();
  await expect(ada.composer).toBeVisible();
  await expect(ada.rows.last()).toBeVisible();
  // As one that comes live, too.
  await server.send(eve.token, id, HOSTILE[1]);
  await expect(ada.message('window.hit = 3').last()).toBeVisible();
  await ada.openPeople();
  await ada.page.keyboard.press('Escape');

  const found = await ada.page.evaluate(() => ({
    hit: window.hit ?? null,
    made: document.querySelectorAll('script:not([src]), img, iframe, object, svg[onload]').length,
    links: [...document.querySelectorAll('ad-message-list a')].map((a) => (
      [a.protocol, a.rel, a.target].join(' '))),
    wide: [...document.querySelectorAll('ad-message-list, ad-session-list, .head-words, ad-shell')]
      .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.tagName),
    rows: [...document.querySelectorAll('li.row')].filter((li) => {
      const box = li.getBoundingClientRect();
      const list = li.closest('ad-message-list').getBoundingClientRect();
      return box.left < list.left || box.right > list.right;
    }).length,
  }));
  expect(found.hit).toBeNull();
  expect(found.made).toBe(0);
  expect(found.links.length).toBeGreaterThan(2);
  for (const one of found.links) {
    expect(one).toMatch(/^https?: noopener noreferrer nofollow ugc _blank$/);
  }
  expect(found.wide).toEqual([]);
  expect(found.rows).toBe(0);
  await expect(ada.page.getByText('(evil.example)')).toHaveCount(2);
  for (const size of [{ width: 375, height: 700 }, { width: 320, height: 600 }]) {
    await ada.page.setViewportSize(size);
    expect(await ada.page.evaluate(() => document.documentElement.scrollWidth)).toBe(size.width);
  }
});

/** Twice what a message may have: what took the square of its length would not end in time. */
const LONG = 128 * 1024;

test('Markdown takes time in proportion to its length', async ({ people }) => {
  const ada = await people('Ada Watch');
  const slowest = await ada.page.evaluate(async (length) => {
    const base = document.querySelector('script[src]').src.replace(/app\.js$/, '');
    const { markdown } = await import(`${base}view/markdown.js`);
    const { preview } = await import(`${base}text/preview.js`);
    const parts = ['*', '_', '**a ', '*a', '`', '``a', '[', '[a](', '[a](http://', '~~', '~~a',
      '\\', '> ', '- ', '-a\n', '- a\n\n', '1. a\n   ', '#', '# ', ' ', '\n', '\t', 'a_b', '|',
      'http://', 'http://a)', ')', '***', '_ _', '```\n', '~~~', '<a ', '&lt;', '(', '](', 'a*',
      '*_', '\u202e', '  \n'];
    let most = { took: 0, part: '' };
    for (const part of parts) {
      const content = part.repeat(Math.floor(length / part.length));
      for (const one of [content, `x${content}y`, `# ${content}`, `https://a.b/${content}`]) {
        const began = performance.now();
        if (markdown(one).length === 0 && one.trim()) throw new Error(`nothing of ${part}`);
        preview(one);
        const took = Math.round(performance.now() - began);
        if (took > most.took) most = { took, part };
      }
    }
    return most;
  }, LONG);
  console.log(`markdown: at most ${slowest.took} ms, for ${JSON.stringify(slowest.part)}`);
});

test('Markdown means what people mean', async ({ people }) => {
  const ada = await people('Ada Exact');
  const cases = {
    'a **b** c': '<p>a <strong>b</strong> c</p>',
    '*a* _b_ ~~c~~': '<p><em>a</em> <em>b</em> <s>c</s></p>',
    '***a***': '<p><strong><em>a</em></strong></p>',
    'snake_case_name 2*3*4': '<p>snake_case_name 2<em>3</em>4</p>',
    '2 * 3 * 4': '<p>2 * 3 * 4</p>',
    'a\nb': '<p>a<br>b</p>',
    '\\*a\\*': '<p>*a*</p>',
    '``a`b``': '<p><code>a`b</code></p>',
    '`a': '<p>`a</p>',
    '**a': '<p>**a</p>',
    '# T': '<p class="heading">T</p>',
    '#tag': '<p>#tag</p>',
    '- a\n  - b\n- c': '<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>',
    '3. a\n4. b': '<ol start="3"><li>a</li><li>b</li></ol>',
    '- a\n\n- b': '<ul><li>a</li><li>b</li></ul>',
    '> a\n> b': '<blockquote><p>a<br>b</p></blockquote>',
    '---': '<hr>',
    '<b>&amp;': '<p>&lt;b&gt;&amp;amp;</p>',
    '1. a\n\ntext': '<ol><li>a</li></ol><p>text</p>',
  };
  const got = await ada.page.evaluate(async (inputs) => {
    const base = document.querySelector('script[src]').src.replace(/app\.js$/, '');
    const { markdown } = await import(`${base}view/markdown.js`);
    return Object.fromEntries(inputs.map((input) => {
      const box = document.createElement('div');
      box.append(...markdown(input));
      return [input, box.innerHTML];
    }));
  }, Object.keys(cases));
  expect(got).toEqual(cases);
  const link = await ada.page.evaluate(async () => {
    const base = document.querySelector('script[src]').src.replace(/app\.js$/, '');
    const { markdown } = await import(`${base}view/markdown.js`);
    const box = document.createElement('div');
    box.append(...markdown('See https://example.com/a_(b)_c, or (https://example.com/x). '
      + '[t](https://e.com/(y))'));
    return [...box.querySelectorAll('a')].map((a) => a.href);
  });
  const expected = ['https://example.com/a_(b)_c', 'https://example.com/x', 'https://e.com/(y)'];
  expect(link).toEqual(expected);
});
